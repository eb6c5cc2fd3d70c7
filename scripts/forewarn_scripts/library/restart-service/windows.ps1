# Restart one service, and see that it stays up.
#   --service=NAME
$ErrorActionPreference = 'Stop'

$name = ''
foreach ($word in $args) {
    if ($word -cmatch '\A--service=([A-Za-z0-9_][A-Za-z0-9@._-]{0,99})\z') { $name = $Matches[1] }
    else { Write-Output "not taken: $word; nothing was done"; exit 64 }
}
if ($name -eq '') { Write-Output 'not taken: --service must be given; nothing was done'; exit 64 }
if ($name -like 'forewarn-helper*') {
    Write-Output 'not taken: it is forewarn-helper that runs this; nothing was done'
    exit 64
}

$service = Get-Service | Where-Object { $_.Name -eq $name }
if ($null -eq $service) {
    Write-Output "there is no service $name here; nothing was done"
    exit 66
}
Write-Output "before: $($service.Status)"
try {
    # What depends on it is stopped with it, and must come back as well.
    $others = @($service.DependentServices | Where-Object { $_.Status -eq 'Running' })
    if ($service.Status -ne 'Stopped') {
        Stop-Service -InputObject $service -Force
        $service.WaitForStatus('Stopped', [TimeSpan]::FromSeconds(90))
    }
    Start-Service -InputObject $service
    $service.WaitForStatus('Running', [TimeSpan]::FromSeconds(90))
    foreach ($other in $others) {
        Start-Service -InputObject $other
        Write-Output "started again with it: $($other.Name)"
    }
} catch {
    Write-Output "$name did not restart: $($_.Exception.Message)"
    exit 1
}
Start-Sleep -Seconds 3
$service.Refresh()
Write-Output "after:  $($service.Status)"
if ($service.Status -ne 'Running') { Write-Output "$name did not stay up"; exit 1 }
Write-Output "$name was restarted"
exit 0
