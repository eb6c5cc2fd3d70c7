# Tell how this host is.  Changes nothing; names processes, but not what they were called with.
#   --lines=N
$ErrorActionPreference = 'Continue'

$lines = 0
foreach ($word in $args) {
    if ($word -cmatch '\A--lines=([1-9][0-9]{0,2})\z') { $lines = [int]$Matches[1] }
    else { Write-Output "not taken: $word; nothing was done"; exit 64 }
}
if ($lines -eq 0) { Write-Output 'not taken: --lines must be given; nothing was done'; exit 64 }

function Show-Part([string]$title, [scriptblock]$read) {
    Write-Output "== $title"
    try { (& $read | Out-String -Width 140).Trim() }
    catch { Write-Output "cannot be read: $($_.Exception.Message)" }
}

Show-Part 'system' {
    Get-CimInstance Win32_OperatingSystem |
        Select-Object -Property @('Caption', 'Version', 'LastBootUpTime', 'FreePhysicalMemory', 'TotalVisibleMemorySize') |
        Format-List
}
Show-Part 'processes by processor time' {
    Get-Process | Sort-Object CPU -Descending | Select-Object -First 10 -Property @('Id', 'ProcessName', 'CPU', 'WorkingSet64') |
        Format-Table -AutoSize
}
Show-Part 'processes by memory' {
    Get-Process | Sort-Object WorkingSet64 -Descending | Select-Object -First 10 -Property @('Id', 'ProcessName', 'CPU', 'WorkingSet64') |
        Format-Table -AutoSize
}
Show-Part 'volumes' {
    Get-CimInstance Win32_LogicalDisk -Filter 'DriveType = 3' |
        Select-Object -Property @('DeviceID', 'FileSystem', 'Size', 'FreeSpace') | Format-Table -AutoSize
}
Show-Part 'drives' {
    Get-CimInstance Win32_DiskDrive | Select-Object -Property @('Model', 'Size', 'Status') | Format-Table -AutoSize
}
Show-Part 'services that should run and do not' {
    Get-CimInstance Win32_Service -Filter "StartMode = 'Auto' AND State <> 'Running' AND ExitCode <> 0" |
        Select-Object -Property @('Name', 'State', 'ExitCode') | Format-Table -AutoSize
}
Show-Part 'errors of the last day' {
    Get-WinEvent -FilterHashtable @{ LogName = 'System', 'Application'; Level = 1, 2; StartTime = (Get-Date).AddDays(-1) } `
        -MaxEvents $lines -ErrorAction SilentlyContinue |
        ForEach-Object { '{0:s} {1} {2}: {3}' -f $_.TimeCreated, $_.ProviderName, $_.Id, ("$($_.Message)" -split "`n")[0] }
}
Show-Part 'addresses' {
    Get-CimInstance Win32_NetworkAdapterConfiguration -Filter 'IPEnabled = TRUE' |
        Select-Object -Property @('Description', 'IPAddress', 'DefaultIPGateway', 'DNSServerSearchOrder') | Format-List
}
Show-Part 'clock' { & w32tm.exe /query /status }
Write-Output '== end'
exit 0
