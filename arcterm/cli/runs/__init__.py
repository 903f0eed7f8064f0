"""Commands on runs that there are: begin at `listing`; `watch` follows one."""
