#!/bin/sh
# health.sh PORT COMMAND...    0 if the server at PORT of this machine is well, else 1.
# A server that takes a connection and says nothing for ten seconds has stalled: COMMAND then restarts it.
# One that refuses the connection is starting, or was stopped: it is left alone.
port=$1
shift
curl --silent --fail --output /dev/null --noproxy '*' --max-time 10 \
    "http://127.0.0.1:$port/_stcore/health" && exit 0
[ $? -eq 28 ] && "$@"
exit 1
