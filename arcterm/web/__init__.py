"""The console in a browser: a small server on this machine's loopback, a console process for each tab."""
