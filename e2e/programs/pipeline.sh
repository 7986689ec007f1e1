# Pipelines with all their pipes full, whose outcome is known. sh pipeline.sh GO
expected='935a1300ed513bf72f14af305ac98bd92532fc089e721201017e1412b3f94cde  -'
done=0
while [ ! -e "$1" ]; do
  sum=$(seq 1 60000 | gzip -1 | gunzip | sort -r | tee /dev/null | sed 's/7/seven/g' | awk '{ print NR, $0 }' | sha256sum)
  if [ "$sum" != "$expected" ]; then
    echo "FAIL: $sum instead of $expected"
    exit 1
  fi
  done=$((done + 1))
  echo $done
done
echo EXIT-SUCCESS
