#!/bin/sh
# Prints running, success or failed for the Slurm job $1. Works without accounting.
# A scheduler that does not answer is asked again.
jobs=$(squeue --me --noheader --states=all --format="%A %T") || { echo running; exit; }
case $(echo "$jobs" | sed -n "s/^$1 //p") in
  COMPLETED) echo success ;;
  # Nor is a job that Slurm no longer knows a success: it ended while nobody looked.
  "" | BOOT_FAIL | CANCELLED | DEADLINE | FAILED | NODE_FAIL | OUT_OF_MEMORY | TIMEOUT) echo failed ;;
  # Waits, also for being started again, or runs.
  *) echo running ;;
esac
