"""The process: an HTTP server in front of the application, from ready to drained (`process`)."""
