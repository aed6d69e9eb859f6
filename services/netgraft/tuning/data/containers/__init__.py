"""Where the bytes of pictures are, a file for each way: a folder, an archive, memory."""
