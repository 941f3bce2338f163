"""One rule a file. A rule tells whether a host may take a guest, and names what the host lacks where it may not."""
