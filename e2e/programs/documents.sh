# Here-documents, small (a pipe) and big (a file without a name), here-strings, process substitution and a coprocess, all read slowly
# enough to be open most of the time. bash documents.sh GO
text='is a line of a document, long enough for some hundreds of them to be more than a pipe holds'
fail() { echo "FAIL: $*"; exit 1; }
lines() { local i; for ((i = 1; i <= $1; i++)); do echo "$i $text"; done; }
small=$(lines 20)
big=$(lines 800)
count() {
  local n=0 number rest
  while read -r number rest; do
    ((++n == number)) || fail "line $number of $1 after $((n - 1))"
    [[ $rest == "$text" ]] || fail "line $number of $1 is $rest"
    ((n % ($2 / 5) == 0)) && sleep 0.01
  done
  ((n == $2)) || fail "$1 has $n lines"
}
coproc answers { while read -r line; do echo "${line^^}"; done; }
done=0
while [[ ! -e $1 ]]; do
  count small 20 <<END
$small
END
  count big 800 <<END
$big
END
  count string 20 <<<"$small"
  count substitution 200 < <(lines 200)
  lines 200 > >(count reader 200 || kill $$)
  wait $!
  cmp <(lines 100; sleep 0.02) <(sleep 0.01; lines 100) || fail 'two substitutions differ'
  echo "round $done" >&"${answers[1]}"
  read -r answer <&"${answers[0]}"
  [[ $answer == "ROUND $done" ]] || fail "the coprocess answers $answer"
  echo $((++done))
done
eval "exec ${answers[1]}>&-"
wait
echo EXIT-SUCCESS
