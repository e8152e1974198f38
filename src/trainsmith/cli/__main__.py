"""python -m trainsmith.cli"""

from trainsmith.cli import main

main()
