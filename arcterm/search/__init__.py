"""Exact 1:N search over galleries; begin with `openset`, the rule by which a probe is accepted."""
