/**
 * Runs a command as the leader of a process group and leaves in the task's directory what others need to
 * know of it, using nothing but what the shell has built in. `pid` is made exclusively: whoever finds a
 * directory without one and makes it first has seen to it that the command never starts. The exit's file
 * has three lines once it is whole: the code, and the processor times of the shell and of its children.
 * Whatever the command has left in its group is killed at the end.
 */
export const processShim: string = `
d=$1; shift
read -r stat < /proc/$$/stat || stat=$$
set -C
{ echo "$stat" > "$d/pid"; } 2> /dev/null || exit 0
set +C
trap : TERM INT HUP
"$@" < /dev/null >> "$d/stdout" 2>> "$d/stderr" &
child=$!
while :; do
  wait $child
  code=$?
  kill -0 $child 2> /dev/null || break
done
{ echo $code; times; } > "$d/exit"
kill -9 0
`;
