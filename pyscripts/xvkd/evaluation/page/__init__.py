"""Results as figures: one page for a browser, and PNG files for papers."""
