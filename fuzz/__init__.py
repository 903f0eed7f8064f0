"""Every parser of files from strangers, fed with damaged and invented files: ``make fuzz``."""
