"""How exports are doing: statistics, health, metrics, the report."""
