"""The dashboard in the terminal, ``kops tui``: only ``tui.feed`` asks the cluster, the rest shows what it brought."""
