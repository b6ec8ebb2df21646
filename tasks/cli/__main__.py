"""`python -m tasks.cli`, which is `crm1c`."""

from tasks.cli import main

main()
