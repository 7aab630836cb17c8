"""Quality of annotated episodes: what is measured, how it is judged, and the page that shows it."""
