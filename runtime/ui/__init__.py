"""The local web page of `live --ui`: skeletons, predictions and events."""
