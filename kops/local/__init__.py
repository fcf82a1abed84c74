"""Servers and clusters that run on this machine: their files, ports, processes and logs.

Nothing here signals a process that it cannot prove to be the one it started (same pid, same time of start).
"""
