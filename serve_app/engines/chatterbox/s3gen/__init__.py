"""S3Gen: speech tokens to samples, in windows, many requests in one batch."""
