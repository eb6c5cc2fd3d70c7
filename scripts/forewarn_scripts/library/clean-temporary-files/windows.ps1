# Delete old temporary files and downloaded updates; without --yes only say how much there is.
#   --older-than-days=N [--yes]
$ErrorActionPreference = 'Stop'

$days = 0
$yes = $false
foreach ($word in $args) {
    if ($word -cmatch '\A--older-than-days=([1-9][0-9]{0,3})\z') { $days = [int]$Matches[1] }
    elseif ($word -ceq '--yes') { $yes = $true }
    else { Write-Output "not taken: $word; nothing was done"; exit 64 }
}
if ($days -eq 0) { Write-Output 'not taken: --older-than-days must be given; nothing was done'; exit 64 }

$mib = 1048576
$script:total = 0
$script:left = 0

function Test-Old([System.IO.FileSystemInfo]$entry, [datetime]$limit) {
    return ($entry.Attributes -band [System.IO.FileAttributes]::ReparsePoint) -eq 0 -and
        $entry.LastWriteTime -lt $limit -and $entry.LastAccessTime -lt $limit -and
        $entry.CreationTime -lt $limit
}

function Get-OldFiles([string]$folder, [datetime]$limit, [bool]$below) {
    $found = New-Object System.Collections.Generic.List[System.IO.FileInfo]
    $waiting = New-Object System.Collections.Generic.Stack[System.IO.DirectoryInfo]
    $waiting.Push((New-Object System.IO.DirectoryInfo $folder))
    while ($waiting.Count -gt 0) {
        $current = $waiting.Pop()
        try { $entries = $current.GetFileSystemInfos() } catch { continue }
        foreach ($entry in $entries) {
            if ($entry -is [System.IO.DirectoryInfo]) {
                $link = ($entry.Attributes -band [System.IO.FileAttributes]::ReparsePoint) -ne 0
                if ($below -and -not $link) { $waiting.Push($entry) }
            } elseif (Test-Old $entry $limit) { $found.Add($entry) }
        }
    }
    return ,$found
}

function Clear-Folder([string]$folder, [datetime]$limit, [bool]$below) {
    if (-not [System.IO.Directory]::Exists($folder)) { return }
    $files = Get-OldFiles $folder $limit $below
    $bytes = 0
    foreach ($file in $files) { $bytes += $file.Length }
    $script:total += $bytes
    Write-Output ('{0}, older than {1} days: {2:N0} MiB in {3} files' -f $folder, $days, ($bytes / $mib), $files.Count)
    if (-not $yes) { return }
    foreach ($file in $files) {
        try { $file.Delete() } catch { $script:left += 1 }
    }
}

$limit = (Get-Date).AddDays(-$days)
$windows = [System.Environment]::GetFolderPath('Windows')
$drive = New-Object System.IO.DriveInfo ($windows.Substring(0, 2))
$before = $drive.AvailableFreeSpace
# Anybody may make folders in there, and swap one for a junction while we work: only its top.
Clear-Folder ([System.IO.Path]::Combine($windows, 'Temp')) $limit $false
# Windows Update fetches again what it still needs; what is younger may be about to be installed.
Clear-Folder ([System.IO.Path]::Combine($windows, 'SoftwareDistribution\Download')) $limit $true

if (-not $yes) {
    Write-Output ('{0:N0} MiB could go; with --yes they do.  Nothing was changed' -f ($script:total / $mib))
    exit 0
}
if ($script:left -gt 0) { Write-Output "in use, and left: $($script:left) files" }
Write-Output ('free on {0}: {1:N0} MiB before, {2:N0} MiB now' -f $drive.Name, ($before / $mib), ($drive.AvailableFreeSpace / $mib))
exit 0
