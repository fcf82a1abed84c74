"""One module per noun; a command is options, one call, one render."""
