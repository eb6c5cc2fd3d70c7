# Restart this host after some minutes, with a message to those who are logged in.
#   --minutes=N --message=TEXT [--if-required] [--cancel]
$ErrorActionPreference = 'Stop'

$minutes = 0
$message = ''
$ifRequired = $false
$cancel = $false
foreach ($word in $args) {
    if ($word -cmatch '\A--minutes=([1-9][0-9]{0,3})\z' -and [int]$Matches[1] -le 1440) { $minutes = [int]$Matches[1] }
    elseif ($word -cmatch '\A--message=([A-Za-z0-9][A-Za-z0-9 .,!?()_-]{0,159})\z') { $message = $Matches[1] }
    elseif ($word -ceq '--if-required') { $ifRequired = $true }
    elseif ($word -ceq '--cancel') { $cancel = $true }
    else { Write-Output "not taken: $word; nothing was done"; exit 64 }
}
if ($minutes -eq 0 -or $message -eq '') {
    Write-Output 'not taken: --minutes and --message must be given; nothing was done'
    exit 64
}

$ErrorActionPreference = 'Continue'  # what it says on stderr would end the script under Stop
$shutdown = [System.IO.Path]::Combine($env:SystemRoot, 'System32\shutdown.exe')
# Its exit codes: 1190 a restart is ordered already, 1116 none is.
if ($cancel) {
    & $shutdown /a 2>$null
    if ($LASTEXITCODE -eq 1116) { Write-Output 'no restart is ordered; nothing was done'; exit 0 }
    if ($LASTEXITCODE -ne 0) { Write-Output "the restart was not taken back ($LASTEXITCODE)"; exit 1 }
    Write-Output 'the restart was taken back'
    exit 0
}
if ($ifRequired) {
    $keys = @(
        'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired',
        'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending'
    )
    if (@($keys | Where-Object { Test-Path -LiteralPath $_ }).Count -eq 0) {
        Write-Output 'nothing waits for a restart; nothing was done'
        exit 0
    }
}
& $shutdown /r /t ($minutes * 60) /c $message /d 'p:2:17' 2>$null
if ($LASTEXITCODE -eq 1190) { Write-Output 'a restart is ordered already; nothing was done'; exit 0 }
if ($LASTEXITCODE -ne 0) { Write-Output "no restart could be ordered ($LASTEXITCODE)"; exit 1 }
Write-Output "this host restarts in $minutes minutes; --cancel takes it back"
exit 0
