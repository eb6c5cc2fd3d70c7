# Tell solid-state drives and thin storage which blocks are free.
#   --filesystem=all|LETTER
$ErrorActionPreference = 'Stop'

$letter = ''
foreach ($word in $args) {
    if ($word -cmatch '\A--filesystem=(all|[A-Z])\z') { $letter = $Matches[1] }
    else { Write-Output "not taken: $word; nothing was done"; exit 64 }
}
if ($letter -eq '') { Write-Output 'not taken: --filesystem must be given; nothing was done'; exit 64 }

$volumes = @(Get-Volume | Where-Object {
    $_.DriveType -eq 'Fixed' -and $_.DriveLetter -and
    ($letter -ceq 'all' -or "$($_.DriveLetter)" -ceq $letter)
})
if ($volumes.Count -eq 0) { Write-Output "there is no such volume here ($letter); nothing was done"; exit 66 }

$done = 0
$failed = 0
foreach ($volume in $volumes) {
    $name = $volume.DriveLetter
    try {
        $drives = @(Get-Partition -DriveLetter $name | Get-Disk | Get-PhysicalDisk)
        if (@($drives | Where-Object { $_.MediaType -eq 'HDD' }).Count -gt 0) {
            Write-Output "${name}: a hard disk; left alone"
            continue
        }
        Optimize-Volume -DriveLetter $name -ReTrim
        Write-Output "${name}: trimmed"
        $done += 1
    } catch {
        Write-Output "${name}: $($_.Exception.Message)"
        $failed += 1
    }
}
if ($failed -gt 0) { exit 1 }
if ($done -eq 0) { Write-Output 'nothing here takes it; nothing was done' }
exit 0
