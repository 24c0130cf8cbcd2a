"""Where answers and events go besides standard output: files, brokers, hooks, sockets, films, a window."""
