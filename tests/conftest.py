"""What holds for all tests: small networks compute fastest on one thread, which also leaves the other core free."""

import os

# Before torch is imported, and for the processes that tests start. Stages set the number of threads themselves.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
