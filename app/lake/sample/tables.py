"""All tables of the sample lake, in the order in which they are built."""

from app.lake.sample.bronze import CUSTOMER, LINEITEM, ORDERS
from app.lake.sample.gold import CUSTOMERS, REVENUE
from app.lake.sample.plans import SampleTable
from app.lake.sample.silver import DOCUMENTS, SALES

SAMPLE_TABLES: tuple[SampleTable, ...] = (ORDERS, LINEITEM, CUSTOMER, SALES, DOCUMENTS, CUSTOMERS, REVENUE)
