"""Generated conversations through the real line, compared with what the template writes."""
