"""Models as MXNet stores them: ``.params`` (`params`) and ``-symbol.json`` (`symbol`)."""
