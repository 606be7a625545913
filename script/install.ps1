# Set up .venv in the repository root, from any directory and whatever environment is active:
#
#     powershell -ExecutionPolicy Bypass -File script/install.ps1
#     Get-Content -Raw script\install.ps1 | Invoke-Expression   (where a policy forbids files)
#
# install.sh is the same program for macOS and Linux: the same steps, in the same order, with the
# same messages. Running it again is quick and repairs what an interrupted run left behind.

& { # a scope of its own, around all that follows: nothing of it stays in the session
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
# A range that uv understands. The packages in requirements.txt exist for these.
$Pythons = '>=3.11,<3.16'
$Elsewhere = 'Use another computer, or run single scripts in a hosted notebook.'
# What the steps find out. They see it all, and change it here.
$Run = @{ Root = ''; Uv = ''; PipSaid = ''; Locks = @(); HadVenv = $true; Exchange = $false }
$Run.Before = [Environment]::GetEnvironmentVariables()

function Say([string] $Message) { Write-Host $Message }
function Show-Error([string] $Message) { $Host.UI.WriteErrorLine($Message) } # in ISE, too
# Caught in Main, which alone ends the run: exit would close the window of an Invoke-Expression.
function Err([string] $Message) { throw (New-Object OperationCanceledException $Message) }

# Run a program without showing what it prints. Returns its exit status and its output.
function Invoke-Quietly([string] $Program, [string[]] $Arguments) {
    $ErrorActionPreference = 'Continue' # in Windows PowerShell a line on stderr is an error
    try {
        $lines = & $Program @Arguments 2>&1 | ForEach-Object { "$_" }
        return @{ Status = $LASTEXITCODE; Output = $lines -join "`n" }
    } catch { return @{ Status = 1; Output = "$_" } }
}

# Run a program that speaks for itself. Returns its exit status.
function Invoke-Shown([string] $Program, [string[]] $Arguments) {
    $ErrorActionPreference = 'Continue'
    & $Program @Arguments | Out-Host
    return $LASTEXITCODE
}

function Test-Place([string] $Path) { return $Path -and (Test-Path -LiteralPath $Path) }
# Join-Path fails where the first part is empty, or on a drive that is not there.
function Join-Parts([string] $Folder, [string] $Rest) { try { Join-Path $Folder $Rest } catch {} }

# The repository is where this file lies, or where a link to it leads, or the current folder.
function Find-Root {
    $Run.Root = $Run.StartedIn
    if ($PSCommandPath) {
        $file = Get-Item -LiteralPath $PSCommandPath -Force
        while ($file.LinkType -eq 'SymbolicLink') {
            $target = [IO.Path]::Combine($file.DirectoryName, @($file.Target)[0])
            $file = Get-Item -LiteralPath ([IO.Path]::GetFullPath($target)) -Force
        }
        $Run.Root = Split-Path $file.DirectoryName
    }
    foreach ($name in 'requirements.txt', 'script\install.ps1') {
        if (Test-Place (Join-Parts $Run.Root $name)) { continue }
        Err ('this is not run from script\ of the repository. There, run: ' +
            'powershell -ExecutionPolicy Bypass -File script/install.ps1')
    }
    $Run.Venv = Join-Path $Run.Root '.venv'
    $Run.LockFile = Join-Path $Run.Root '.venv.lock'
    # Its content is "installing" until all is checked, then the place for which .venv was made.
    $Run.Marker = Join-Path $Run.Venv '.lecture-install'
    $Run.Settings = Join-Path $Run.Venv 'pyvenv.cfg'
    $Run.Python = Join-Path $Run.Venv 'Scripts\python.exe'
    # uv, shut off from the settings of a project in a parent folder, but not from the user's own;
    # installing into .venv and nowhere else
    $Run.Project = '--project', [IO.Path]::GetPathRoot($Run.Root)
    $Run.Pip = @('pip', 'install', '--python', $Run.Python) + $Run.Project
    $Run.Packages = @('--requirement', (Join-Path $Run.Root 'requirements.txt'))
}

function Test-Platform {
    if ($PSVersionTable.PSVersion.Major -ge 6 -and -not $IsWindows) {
        Err 'this is not Windows. Run: bash script/install.sh'
    }
    if (-not [Environment]::Is64BitOperatingSystem) {
        Err "this is 32-bit Windows, for which there is no PyTorch. $Elsewhere"
    }
}

# One file is open for this run alone, the other for uv, too, which may outlive it.
function Enter-Lock {
    $open = { param($Path, $Share) [IO.File]::Open($Path, 'OpenOrCreate', 'ReadWrite', $Share) }
    try {
        $Run.Locks += & $open $Run.LockFile None
        (& $open "$($Run.LockFile).uv" None).Dispose() # uv of a run that was killed may hold it
        $Run.Locks += & $open "$($Run.LockFile).uv" Inheritable
    } catch [UnauthorizedAccessException] {
        Err "$($Run.Root) cannot be written. Change that, or clone elsewhere, then run again."
    } catch [IO.IOException] {
        Err ("another run is at work here: $($_.Exception.GetBaseException().Message) " +
            'Wait until it has ended, then run again.')
    }
    $Run.HadVenv = $null -ne (Get-Item -LiteralPath $Run.Venv -Force -ErrorAction SilentlyContinue)
}

# An active environment must receive nothing, so neither uv nor pip gets to see it. Nor do they
# see another project that is named; a parent folder's is shut off by $Run.Project.
function Exit-ActiveEnvironment {
    foreach ($name in 'VIRTUAL_ENV', 'CONDA_PREFIX', 'CONDA_DEFAULT_ENV', 'UV_SYSTEM_PYTHON',
        'PYTHONHOME', 'PYTHONPATH', 'UV_PROJECT', 'UV_WORKING_DIR', 'UV_WORKING_DIRECTORY') {
        Remove-Item -LiteralPath "Env:$name" -ErrorAction SilentlyContinue
    }
    if (-not $env:UV_TORCH_BACKEND) { $env:UV_TORCH_BACKEND = $null } # an error to uv
}

# pip's variable, or what its files say: a later file counts more, [install] more than [global].
function Get-PipSetting([string] $Wanted, [string] $Variable) {
    $said = @{ global = $Variable }
    if ($Variable -or $env:PIP_CONFIG_FILE -in 'nul', '/dev/null') { return $Variable }
    $files = $env:ProgramData, $HOME, $env:APPDATA | ForEach-Object { Join-Parts $_ 'pip\pip.ini' }
    foreach ($file in @($files) + $env:PIP_CONFIG_FILE | Where-Object { Test-Place $_ }) {
        $section = $name = ''
        foreach ($line in Get-Content -LiteralPath $file -Encoding UTF8) {
            if ($line -match '^\s*([#;]|$)') { continue }
            if ($line -match '^\[(.*?)\]') { $section, $name, $line = $Matches[1], '', '' }
            if ($line -match '^(\S[^=:]*)[=:](.*)') {
                $name, $line = ($Matches[1].Trim().ToLower() -replace '_', '-'), $Matches[2]
                if ($name -eq $Wanted) { $said[$section] = '' }
            }
            if ($name -eq $Wanted) { $said[$section] = "$($said[$section]) $line".Trim() }
        }
    }
    if ($said.ContainsKey('install')) { return $said['install'] }
    return $said['global']
}

# pip's settings name a wheel folder or a mirror for a reason: uv gets them where it has none.
function Copy-PipSettingsToUv {
    $links = Get-PipSetting find-links $env:PIP_FIND_LINKS
    $index = Get-PipSetting index-url $env:PIP_INDEX_URL
    $more = Get-PipSetting extra-index-url $env:PIP_EXTRA_INDEX_URL
    # pip separates the places by spaces, uv by commas
    $links = $links.Trim() -replace '\s+', ','
    if ($links -and -not $env:UV_FIND_LINKS) { $env:UV_FIND_LINKS = $links }
    $own = $env:UV_DEFAULT_INDEX -or $env:UV_INDEX_URL
    if ($index -and -not $own) { $env:UV_DEFAULT_INDEX = $index }
    if ($more -and -not ($env:UV_INDEX -or $env:UV_EXTRA_INDEX_URL)) {
        $env:UV_INDEX = $more
        # as pip does: the best version from any index, not the first index that has the name
        if (-not $env:UV_INDEX_STRATEGY) { $env:UV_INDEX_STRATEGY = 'unsafe-best-match' }
    }
}

# A link to another disk is kept, and .venv made where it leads, unless others have something there.
function Test-Link {
    $item = Get-Item -LiteralPath $Run.Venv -Force -ErrorAction SilentlyContinue
    if (-not $item -or -not $item.LinkType) { return }
    $target = [IO.Path]::Combine($Run.Root, @($item.Target)[0])
    if (-not (Test-Place $target)) {
        try { $null = New-Item -ItemType Directory -Force $target } catch {
            Err ".venv is a link to $target, which cannot be made: mount its disk, then run again."
        }
    } elseif ((Test-Place $Run.Marker) -or -not (Get-VenvProblem)) { return }
    elseif (Get-ChildItem -LiteralPath $target -Force) { # a file, too
        Err ".venv is a link to $target, and what lies there is not ours: remove one or the other."
    }
    Set-Marker installing
}

# Whether a file starts, and is recent enough to choose a torch build.
function Test-UsableUv([string] $Path) {
    $help = 'pip', 'install', '--help'
    return (Test-Place $Path) -and (Invoke-Quietly $Path $help).Output -match '--torch-backend'
}

# Set Uv to a usable uv: on PATH, where Astral's installer puts it, or where an earlier run of
# this script kept it. One in .venv\Scripts does not count: rebuilding .venv would remove it.
function Find-Uv {
    $candidates = @(Get-Command uv.exe -CommandType Application -All -ErrorAction SilentlyContinue |
            ForEach-Object { $_.Source }) + @(
        (Join-Parts $env:UV_INSTALL_DIR 'uv.exe'), (Join-Parts $env:XDG_BIN_HOME 'uv.exe'),
        (Join-Parts $env:XDG_DATA_HOME '..\bin\uv.exe'), (Join-Parts $HOME '.local\bin\uv.exe'),
        (Join-Path $Run.Venv 'uv\bin\uv.exe'), (Join-Path $Run.Venv 'uv\Scripts\uv.exe'))
    $inVenv = Join-Path $Run.Venv 'Scripts\'
    $Run.Uv = $candidates | Where-Object { -not "$_".StartsWith($inVenv, 'OrdinalIgnoreCase') } |
        Where-Object { Test-UsableUv $_ } | Select-Object -First 1
    return [bool] $Run.Uv
}

# Fetch Astral's installer whole, then run it, in a process of its own: it may call exit.
function Get-UvFromAstral {
    $file = Join-Path ([IO.Path]::GetTempPath()) "uv-installer-$PID.ps1"
    $proxy = @{} # Windows PowerShell does not look at the variable
    if ($env:HTTPS_PROXY) { $proxy.Proxy = $env:HTTPS_PROXY -replace '^(?!.*://)', 'http://' }
    try {
        [Net.ServicePointManager]::SecurityProtocol =
        [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
        Invoke-RestMethod -UseBasicParsing -TimeoutSec 30 @proxy https://astral.sh/uv/install.ps1 |
            Set-Content -LiteralPath $file -Encoding UTF8
    } catch { return $false }
    $powershell = Get-ChildItem (Join-Path $PSHOME '*') -Include powershell.exe, pwsh.exe, pwsh
    $null = Invoke-Shown $powershell @('-NoProfile', '-ExecutionPolicy', 'Bypass', '-File', $file)
    Remove-Item -LiteralPath $file -Force
    return Find-Uv
}

# Put uv into .venv\uv with any Python that is there, leaving that Python as it is. Sets PipSaid.
function Get-UvFromIndex {
    Initialize-Folder
    $ownPip = Join-Path $Run.Venv 'pip'
    # pip's own settings may forbid a target or an install outside an environment
    $env:PIP_USER, $env:PIP_REQUIRE_VIRTUALENV, $env:PIP_PREFIX = '0', '0', $null
    foreach ($python in 'python', 'python3', 'py') {
        $recent = Invoke-Quietly $python @('-c', 'import sys; sys.exit(sys.version_info < (3, 8))')
        if ($recent.Status -ne 0) { continue }
        $pip = $python
        if ((Invoke-Quietly $python @('-c', 'import pip')).Status -ne 0) {
            $null = Invoke-Quietly $python @('-m', 'venv', $ownPip)
            $pip = Join-Path $ownPip 'Scripts\python.exe'
        }
        if ((Invoke-Quietly $pip @('-c', 'import pip')).Status -eq 0) {
            $Run.PipSaid = (Invoke-Quietly $pip @('-B', '-m', 'pip', 'install', '--quiet',
                    '--disable-pip-version-check', '--retries', '2', '--upgrade', '--only-binary',
                    ':all:', '--target', (Join-Path $Run.Venv 'uv'), 'uv')).Output
        }
        Remove-Item -LiteralPath $ownPip -Recurse -Force -ErrorAction SilentlyContinue
        if (Find-Uv) { return $true }
    }
    return $false
}

function Get-Uv {
    if (Find-Uv) { return Say "uv: found, $($Run.Uv)" }
    Say "uv: not found, running Astral's installer"
    if (Get-UvFromAstral) { return Say "uv: installed, $($Run.Uv)" }
    Say "uv: Astral's installer cannot be had here, getting uv from the Python package index"
    if (Get-UvFromIndex) { return Say "uv: installed, $($Run.Uv)" }
    if (-not $Run.PipSaid) {
        Err ("there is no uv, and neither Astral's installer nor pip could get it. Install uv " +
            '(https://docs.astral.sh/uv) or Python 3.11 or later with pip, then run again.')
    }
    Show-Error $Run.PipSaid
    Err ("pip could not get uv from the index: see above. Check the network, pip's mirror and " +
        'the proxy (HTTPS_PROXY), or install uv (https://docs.astral.sh/uv), then run again.')
}

# What .venv's Python prints; nothing if it does not start.
function Get-FromPython([string] $Code) {
    $result = Invoke-Quietly $Run.Python @('-I', '-c', $Code)
    if ($result.Status -eq 0) { return $result.Output.Trim() }
}

function Set-Marker([string] $Text) { Set-Content -LiteralPath $Run.Marker $Text -Encoding UTF8 }
function Test-Supported([string] $Version) { return $Version -match '^3\.1[1-5]\.' }
function Get-Version { Get-FromPython 'import platform; print(platform.python_version())' }

# Why .venv cannot be kept; nothing if it can.
function Get-VenvProblem {
    $madeFor = "$(Get-Content -LiteralPath $Run.Marker -Encoding UTF8 -ErrorAction Ignore)".Trim()
    if (-not (Test-Place $Run.Settings)) { return 'it is not a virtual environment' }
    if ($madeFor -eq 'installing') { return 'an earlier install did not finish' }
    if (-not (Test-Place $Run.Python)) { return 'its Python is gone' }
    $version = Get-Version
    if ($null -eq $version) { return 'its Python does not start' }
    if ($madeFor -and -not (Test-Venv $madeFor)) { return "it was moved or copied from $madeFor" }
    if (-not (Test-Supported $version)) { return "its Python is $version, not 3.11 to 3.15" }
}

# Whether a folder is .venv by another name, as on a mapped drive: a new file in one is in both.
function Test-Venv([string] $Folder) {
    $name = ".lecture-$PID"
    Set-Content -LiteralPath (Join-Path $Run.Venv $name) -Value ''
    try { return $Folder -eq $Run.Venv -or (Test-Place (Join-Parts $Folder $name)) }
    finally { Remove-Item -LiteralPath (Join-Path $Run.Venv $name) -Force }
}

# Leave a healthy .venv in place, marked as being worked on.
function Initialize-Venv {
    if (Test-Place $Run.Venv) {
        $problem = Get-VenvProblem
        if (-not $problem) {
            Say "environment: .venv is kept, Python $(Get-Version)"
            return Set-Marker installing
        }
        # one that holds nothing, or the uv just fetched, is new
        $content = Get-ChildItem -LiteralPath $Run.Venv -Force |
            Where-Object Name -NotIn uv, .lecture-install
        if ($content) { Say "environment: .venv is rebuilt, since $problem" }
        try { Clear-Venv } catch {
            Show-Error "$_"
            Err 'removing the old .venv failed: close the programs that use it, then run again.'
        }
    }
    Initialize-Folder
    Set-Marker installing
    $wanted = @($env:UV_PYTHON, $Pythons | Where-Object { $_ })[0]
    $result = Invoke-Quietly $Run.Uv (@('venv', '--quiet', '--no-project', '--allow-existing',
            '--python', $wanted, $Run.Venv) + $Run.Project)
    if ($result.Status -ne 0) {
        Show-Error $result.Output
        if ($result.Output -match 'o interpreter found|Failed to download') {
            Err ("making .venv failed: no Python $wanted was found or could be fetched. Install " +
                'one, or check the network or proxy (HTTPS_PROXY), then run again.')
        }
        Err ("making .venv failed: uv's own message above is the cause. Set UV_CACHE_DIR where " +
            'its cache fails, clone elsewhere where a disk is full or lacks links. Then run again.')
    }
    $version = Get-Version
    if (-not (Test-Supported $version)) {
        Err "this is Python $version. Set UV_PYTHON to one of 3.11 to 3.15, then run again."
    }
    if (Test-Place (Join-Path $Run.Venv 'uv')) { # on PATH once .venv is active
        Get-ChildItem -LiteralPath (Split-Path $Run.Uv) -Filter 'uv*.exe' |
            Copy-Item -Destination (Join-Path $Run.Venv 'Scripts')
    }
    Say "environment: .venv is made, Python $version"
}

# Make the folder .venv, in place of a file if there is one.
function Initialize-Folder {
    if ([IO.File]::Exists($Run.Venv)) { Remove-Item -LiteralPath $Run.Venv -Force }
    $null = New-Item -ItemType Directory -Force $Run.Venv
}

# Empty .venv of all but uv. Windows PowerShell's own way stops at paths of 260 characters.
function Clear-Venv {
    foreach ($item in Get-ChildItem -LiteralPath $Run.Venv -Force | Where-Object Name -NE uv) {
        if ($PSVersionTable.PSVersion.Major -lt 6 -and $item.PSIsContainer) {
            $long = '\\?\' + ($item.FullName -replace '^\\\\', 'UNC\')
            $result = Invoke-Quietly cmd.exe @('/d', '/c', 'rd', '/s', '/q', $long)
            if (Test-Place $item.FullName) { throw $result.Output }
        } else { Remove-Item -LiteralPath $item.FullName -Recurse -Force }
    }
}

# End the run if what uv said is that packages are not made for this platform.
function Test-Wheels([string] $Output) {
    if ($Output -notmatch 'no wheels with a matching platform tag') { return }
    $platform = Get-FromPython (
        'import platform, sysconfig; print(sysconfig.get_platform(), *platform.libc_ver())')
    $advice = 'That can be changed: set UV_PYTHON=cpython-3.13-windows-x86_64, then run again.'
    if ($platform -notmatch 'win32|arm64') { $advice = $Elsewhere }
    Err ("there is no PyTorch for this Python's platform, $($platform): it is for 64-bit Linux " +
        "with glibc 2.28, 64-bit Windows, and Macs with Apple silicon. $advice")
}

# Let uv choose the torch build for this machine, unless the user has chosen, one is there that
# will do, or the index of builds is out of reach. A build that the user names is exchanged for it.
function Select-TorchBuild {
    $build, $old, $words = 'auto', '', ($Run.Pip + '--dry-run' + '--no-deps')
    if ($env:UV_TORCH_BACKEND) {
        $build = $env:UV_TORCH_BACKEND
        $words += '--reinstall-package', 'torch'
        $old = Get-FromPython "from importlib.metadata import version; print(version('torch'))"
    }
    if ($build -ne 'auto') {
        Say "torch build: $build, from UV_TORCH_BACKEND"
        if (-not $old -or $old.EndsWith("+$build")) { return }
    }
    if (-not $env:UV_HTTP_RETRIES) { $env:UV_HTTP_RETRIES = '1' }
    $torch = (Select-String -LiteralPath $Run.Packages[1] -Pattern '^torch').Line
    $result = Invoke-Quietly $Run.Uv ($words + '--torch-backend' + $build + $torch)
    $env:UV_HTTP_RETRIES = $Run.Before['UV_HTTP_RETRIES']
    if ($result.Status -ne 0) {
        Test-Wheels $result.Output
        if ($build -eq 'auto' -and $result.Output -match 'pytorch\.org') {
            $env:UV_TORCH_BACKEND = $null
            Say "torch build: the PyTorch index cannot be reached, taking the default index's"
            return
        }
        Show-Error $result.Output
        Err 'choosing the torch build failed. Check the network or proxy (HTTPS_PROXY), run again.'
    }
    $new = if ($result.Output -match '\+ torch==(\S+)') { $Matches[1] } else { $old }
    if ($build -eq 'auto' -and $new -match '\+(?!cpu|cu\d|rocm)(.*)') {
        Say "torch build: cpu, since these scripts do not use what $($Matches[1]) is for"
        $build, $new = 'cpu', ($new -replace '\+.*', '+cpu')
    } elseif (-not $env:UV_TORCH_BACKEND -and $result.Output -match 'no changes') {
        return Say 'torch build: the one that is there'
    } elseif ($build -eq 'auto') { Say 'torch build: chosen by uv for this machine' }
    $env:UV_TORCH_BACKEND = $build
    $Run.Exchange = $old -and $old -ne $new
}

function Install-Packages {
    $words = $Run.Pip + '--dry-run' + '--offline' + $Run.Packages # so without the network
    $there = (Invoke-Quietly $Run.Uv $words).Output -match 'no changes'
    if (-not $there -or $env:UV_TORCH_BACKEND) { Select-TorchBuild }
    if ($there -and -not $Run.Exchange) { return Say 'packages: all there' }
    Say 'packages: installing requirements.txt'
    $words = $Run.Pip + $Run.Packages
    if ($Run.Exchange) { $words += '--reinstall-package', 'torch' }
    if ((Invoke-Shown $Run.Uv $words) -eq 0) { return }
    Test-Wheels (Invoke-Quietly $Run.Uv ($words + '--dry-run')).Output
    Err ("installing the packages failed: uv's own message above is the cause. Where the network " +
        'fails, check the proxy (HTTPS_PROXY); where links do, as on OneDrive, set ' +
        'UV_LINK_MODE=copy; where the cache or its disk does, UV_CACHE_DIR. Then run again.')
}

# With what reaches into every Python that the user will start.
function Test-Environment {
    $env:PYTHONPATH, $env:PYTHONHOME = $Run.Before['PYTHONPATH'], $Run.Before['PYTHONHOME']
    if ((Invoke-Shown $Run.Python @((Join-Path $Run.Root 'script\check_environment.py'))) -ne 0) {
        Err 'the packages are there and do not work. The lines above say why, and what helps.'
    }
    Set-Marker $Run.Venv
}

# Lines for every policy, and where nothing special is in the path, for cmd, too.
function Show-NextSteps {
    if ($env:LECTURE_NEXT_STEPS) { return } # install.sh shows them, in Git Bash
    Say 'Done. Next:'
    $quoted = $Run.Root -replace "['\u2018-\u201b]", '$0$0'
    if ($Run.Root -eq $Run.StartedIn) { }
    elseif ($Run.Root -match '[][$`*?"\u2018-\u201e]') { Say "    cd -LiteralPath '$quoted'" }
    else { Say "    pushd `"$($Run.Root)`"" }
    Say '    .venv\Scripts\python script\gd_1d_torch.py'
    Say '    .venv\Scripts\pytest'
    if ($Run.Root -match ';') { return Say 'The semicolon in this path forbids activating .venv.' }
    Say 'Where scripts may run, this spares you .venv\Scripts\ in this window:'
    Say '    .venv\Scripts\Activate.ps1'
}

# However the run ends: the variables are as before, and .venv is gone if we began it in vain.
function Clear-Unfinished {
    foreach ($name in @([Environment]::GetEnvironmentVariables().Keys) + @($Run.Before.Keys)) {
        if ($Run.Before.Contains($name)) { Set-Item -LiteralPath "Env:$name" $Run.Before[$name] }
        else { Remove-Item -LiteralPath "Env:$name" }
    }
    if (-not ($Run.HadVenv -or (Test-Place $Run.Settings))) {
        Remove-Item -LiteralPath $Run.Venv -Recurse -Force -ErrorAction SilentlyContinue
    }
    foreach ($lock in $Run.Locks) { $lock.Dispose() }
    if ($Run.Locks.Count -lt 2) { return } # what another run holds
    Remove-Item -LiteralPath ($Run.Locks | ForEach-Object Name) -Force -ErrorAction SilentlyContinue
}

function Main([string[]] $Words) {
    if ($Words) {
        Say 'usage: powershell -File script\install.ps1 (it takes no options, and sets up .venv)'
        return 2 * ("$Words" -notin '--help', '-h', '-help')
    }
    $Run.StartedIn = (Get-Location -PSProvider FileSystem).ProviderPath
    try {
        foreach ($step in 'Find-Root', 'Test-Platform', 'Enter-Lock', 'Exit-ActiveEnvironment',
            'Copy-PipSettingsToUv', 'Test-Link', 'Get-Uv', 'Initialize-Venv', 'Install-Packages',
            'Test-Environment', 'Show-NextSteps') { & $step }
        return 0
    } catch {
        $name = if ($_.Exception -isnot [OperationCanceledException]) { "$step failed: " }
        Show-Error "error: $name$($_.Exception.Message)"
        return 1
    } finally { Clear-Unfinished }
}

$global:LASTEXITCODE = Main $args
if ($PSCommandPath) { exit $LASTEXITCODE }
} @args
