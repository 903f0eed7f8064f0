"""What a training needs against what is there, before a run exists; begin reading with `plan.assess`."""
