# A worker that does not want to leave: it ignores SIGTERM, and so do a child in a session of its own and a grandchild
# that was forked twice and has an empty environment. Each notes its pid. Worker w0 writes the winning line when told.
trap '' TERM
pids=$1 go=$2
setsid sh -c 'echo $$ >>"$0"; exec sleep 600' "$pids" &
(env -i setsid sh -c 'echo $$ >>"$0"; exec sleep 600' "$pids" &)
echo $$ >>"$pids"
if [ "$WTRACE_WORKER" = w0 ]; then
    while [ ! -e "$go" ]; do sleep 0.02; done
    cat "$go" >>"$WTRACE_METRICS"
fi
exec sleep 600
