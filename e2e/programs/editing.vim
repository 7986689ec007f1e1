" A buffer with its swap file, whose first block names the process, and a tree of changes. Variables go, directory and output are given.
let [&directory, &undodir, &undofile] = [directory, directory, 1]
execute 'edit' directory .. '/edited'
call setline(1, ['one', 'two', 'three'])
write
for i in range(500)
  call append('$', 'line ' .. i)
  let &undolevels = &undolevels
endfor
undo 300
call append(0, 'another branch')
let &undolevels = &undolevels
preserve

function Say(text)
  call writefile([a:text], g:output, 'a')
endfunction

function State()
  return [undotree(), getline(1, '$'), swapname('%'), swapinfo(swapname('%'))]
endfunction

let before = State()
call Say('ready')
while !filereadable(go)
  sleep 20m
endwhile
if State() != before || before[3].pid != getpid()
  call Say('FAIL: ' .. string(before) .. ' became ' .. string(State()))
endif
undo 200
if line('$') != 202 || getline('$') != 'line 198'
  call Say('FAIL: undo led to ' .. getline('$'))
endif
write
call Say('EXIT-SUCCESS')
quit!
