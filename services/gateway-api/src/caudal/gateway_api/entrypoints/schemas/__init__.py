"""Bodies as HTTP knows them. What a variable or a counter is stands in `caudal.common.domain.catalog`."""
