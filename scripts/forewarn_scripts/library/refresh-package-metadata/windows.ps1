# Ask the update server what is missing.  Installs nothing.
$ErrorActionPreference = 'Stop'

foreach ($word in $args) { Write-Output "not taken: $word; nothing was done"; exit 64 }

try {
    $session = New-Object -ComObject Microsoft.Update.Session
    $session.ClientApplicationID = 'forewarn'
    $searcher = $session.CreateUpdateSearcher()
    $searcher.Online = $true
    $found = $searcher.Search("IsInstalled=0 and Type='Software'")
} catch {
    $inner = $_.Exception.GetBaseException()
    Write-Output ('Windows Update was not reached: 0x{0:X8} {1}' -f $inner.HResult, $inner.Message)
    exit 1
}
# 2 is succeeded; 3, succeeded with errors, leaves some updates unknown.
if ($found.ResultCode -ne 2) {
    Write-Output "Windows Update's search ended with result $($found.ResultCode)"
    exit 1
}
Write-Output "the update server was asked: $($found.Updates.Count) updates are not installed"
exit 0
