"""The jobs of ``arcterm data``: making, checking and reshaping data sets, without torch."""
