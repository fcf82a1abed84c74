"""What takes several steps and must be planned, proved or undone."""
