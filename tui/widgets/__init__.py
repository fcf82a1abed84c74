"""Widgets: they draw rows and lines; what those mean is the screens' business."""
