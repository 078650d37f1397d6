"""The taskflow: quiesce, invoke, replicate, back up, recover; a journalled saga of steps with undo."""
