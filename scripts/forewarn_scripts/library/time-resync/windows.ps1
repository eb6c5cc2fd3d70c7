# Have the time service set the clock by its servers now, and see that it did.
$ErrorActionPreference = 'Stop'

foreach ($word in $args) { Write-Output "not taken: $word; nothing was done"; exit 64 }

$w32tm = [System.IO.Path]::Combine($env:SystemRoot, 'System32\w32tm.exe')
$service = Get-Service | Where-Object { $_.Name -eq 'W32Time' }
if ($null -eq $service) { Write-Output 'there is no Windows time service; nothing was done'; exit 69 }
try {
    if ($service.Status -ne 'Running') {
        Start-Service -InputObject $service
        $service.WaitForStatus('Running', [TimeSpan]::FromSeconds(30))
    }
} catch {
    Write-Output "the Windows time service did not start: $($_.Exception.Message)"
    exit 1
}
& $w32tm /resync /rediscover
$code = $LASTEXITCODE
& $w32tm /query /status
if ($code -ne 0) { Write-Output "the clock was not set ($code)"; exit 1 }
Write-Output 'the clock was set by its servers'
exit 0
