"""Images that lie compressed at their source: unpacked once, into the image server's store, and served from there."""
