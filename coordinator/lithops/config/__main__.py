"""`python -m lithops.config`: the reference of the configuration, made from the schema."""

import sys

from lithops.config.docs import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
