"""Reading event files while they are written: `follow` every event, `essentials` as few as possible."""
