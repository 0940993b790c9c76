"""All laws of `TelemetryStore`: a test class per adapter inherits them and says how its store is opened."""

import pytest

from caudal.common.testing.store_laws_of_age import AgeLaws
from caudal.common.testing.store_laws_of_reading import ReadingLaws
from caudal.common.testing.store_laws_of_writing import WritingLaws
from caudal.common.testing.store_rows import MovableClock


class StoreSuite(WritingLaws, ReadingLaws, AgeLaws):
    """What every telemetry store promises.

    A subclass has a fixture `store`: empty, with the retention `store_rows.RETENTION`, on the clock of the fixture
    `clock`.
    """

    @pytest.fixture
    def clock(self) -> MovableClock:
        """The clock of `store`."""
        return MovableClock()
