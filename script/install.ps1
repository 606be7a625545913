# Set up .venv in the repository root, from any directory and whatever environment is active:
#
#     powershell -ExecutionPolicy Bypass -File .\script\install.ps1
#
# install.sh is the same program for macOS and Linux: the same steps, in the same order, with the
# same messages. Running it again is quick and repairs what an interrupted run left behind.

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

# A range that uv understands. The packages in requirements.txt exist for these.
$script:Pythons = '>=3.10,<3.14'
# Its content is "installing" until all is checked, then the place for which .venv was made.
$script:Marker = '.venv\.lecture-install'
$script:Root = Split-Path -Parent $PSScriptRoot
$script:VenvPython = Join-Path $script:Root '.venv\Scripts\python.exe'

function Say([string] $Message) { Write-Host $Message }

function Err([string] $Message) {
    [Console]::Error.WriteLine("error: $Message")
    exit 1
}

# Run a program without showing what it prints. Returns its exit status and its output.
function Invoke-Quietly([string] $Program, [string[]] $Arguments) {
    $ErrorActionPreference = 'Continue' # in Windows PowerShell a line on stderr is an error
    try {
        $lines = & $Program @Arguments 2>&1 | ForEach-Object { "$_" }
        return @{ Status = $LASTEXITCODE; Output = $lines -join "`n" }
    } catch {
        return @{ Status = 1; Output = "$_" }
    }
}

# Run a program that speaks for itself. Returns its exit status.
function Invoke-Shown([string] $Program, [string[]] $Arguments) {
    $ErrorActionPreference = 'Continue'
    & $Program @Arguments | Out-Host
    return $LASTEXITCODE
}

function Test-Variable([string] $Name) {
    return -not [string]::IsNullOrEmpty([Environment]::GetEnvironmentVariable($Name))
}

function Test-Platform {
    if ($PSVersionTable.PSVersion.Major -ge 6 -and -not $IsWindows) {
        Err 'this is not Windows. Run: bash script/install.sh'
    }
    if (-not [Environment]::Is64BitOperatingSystem) {
        Err 'this is 32-bit Windows, for which there is no PyTorch. Use another computer.'
    }
}

# An active environment must receive nothing, so neither uv nor pip gets to see it.
function Exit-ActiveEnvironment {
    foreach ($name in 'VIRTUAL_ENV', 'CONDA_PREFIX', 'CONDA_DEFAULT_ENV',
        'UV_SYSTEM_PYTHON', 'PYTHONHOME', 'PYTHONPATH') {
        Remove-Item -LiteralPath "Env:$name" -ErrorAction SilentlyContinue
    }
}

# pip's settings name a wheel folder or a mirror for a reason: uv gets them where it has none.
function Copy-PipSettingsToUv {
    if ((Test-Variable PIP_FIND_LINKS) -and -not (Test-Variable UV_FIND_LINKS)) {
        # pip separates the places by spaces, uv by commas
        $env:UV_FIND_LINKS = $env:PIP_FIND_LINKS.Trim() -replace '\s+', ','
    }
    if ((Test-Variable PIP_INDEX_URL) -and
        -not ((Test-Variable UV_DEFAULT_INDEX) -or (Test-Variable UV_INDEX_URL))) {
        $env:UV_DEFAULT_INDEX = $env:PIP_INDEX_URL
    }
    if ((Test-Variable PIP_EXTRA_INDEX_URL) -and
        -not ((Test-Variable UV_INDEX) -or (Test-Variable UV_EXTRA_INDEX_URL))) {
        $env:UV_INDEX = $env:PIP_EXTRA_INDEX_URL
        # as pip does: the best version from any index, not the first index that has the name
        if (-not (Test-Variable UV_INDEX_STRATEGY)) {
            $env:UV_INDEX_STRATEGY = 'unsafe-best-match'
        }
    }
}

# Whether a file starts, and is recent enough to choose a torch build.
function Test-UsableUv([string] $Path) {
    if (-not (Test-Path -LiteralPath $Path -PathType Leaf)) { return $false }
    return (Invoke-Quietly $Path @('pip', 'install', '--help')).Output -match '--torch-backend'
}

# Set Uv to a usable uv: on PATH, where Astral's installer puts it, or where an earlier run of
# this script kept it. One in .venv\Scripts does not count: rebuilding .venv would remove it.
function Find-Uv {
    $candidates = @(Get-Command uv.exe -CommandType Application -All -ErrorAction SilentlyContinue |
            ForEach-Object { $_.Source })
    if (Test-Variable UV_INSTALL_DIR) { $candidates += Join-Path $env:UV_INSTALL_DIR 'uv.exe' }
    if (Test-Variable XDG_BIN_HOME) { $candidates += Join-Path $env:XDG_BIN_HOME 'uv.exe' }
    if (Test-Variable XDG_DATA_HOME) { $candidates += Join-Path $env:XDG_DATA_HOME '..\bin\uv.exe' }
    $candidates += Join-Path $HOME '.local\bin\uv.exe'
    $candidates += Join-Path $script:Root '.venv\uv\bin\uv.exe'
    $candidates += Join-Path $script:Root '.venv\uv\Scripts\uv.exe'
    $inVenv = Join-Path $script:Root '.venv\Scripts\'
    foreach ($candidate in $candidates) {
        if ($candidate.StartsWith($inVenv, [StringComparison]::OrdinalIgnoreCase)) { continue }
        if (Test-UsableUv $candidate) {
            $script:Uv = $candidate
            return $true
        }
    }
    return $false
}

# Fetch Astral's installer whole, then run it, in a process of its own: it may call exit.
function Get-UvFromAstral {
    $url = 'https://astral.sh/uv/install.ps1'
    $file = Join-Path ([IO.Path]::GetTempPath()) "uv-installer-$PID.ps1"
    try {
        [Net.ServicePointManager]::SecurityProtocol =
        [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
        $installer = Invoke-RestMethod -UseBasicParsing -TimeoutSec 30 $url
        Set-Content -LiteralPath $file -Value $installer -Encoding UTF8
    } catch {
        return $false
    }
    try {
        $powershell = (Get-Process -Id $PID).Path
        $null = Invoke-Shown $powershell @(
            '-NoProfile', '-ExecutionPolicy', 'Bypass', '-File', $file)
    } finally {
        Remove-Item -LiteralPath $file -Force
    }
    return Find-Uv
}

# Put uv into .venv\uv with any Python that is there, leaving that Python as it is.
function Get-UvFromIndex {
    if (Test-Path -LiteralPath .venv -PathType Leaf) { Remove-Item -LiteralPath .venv -Force }
    $null = New-Item -ItemType Directory -Force .venv
    # pip's own settings may forbid a target or an install outside an environment
    $env:PIP_USER = '0'
    $env:PIP_REQUIRE_VIRTUALENV = '0'
    $env:PIP_PREFIX = $null
    foreach ($python in 'python', 'python3', 'py') {
        if (-not (Get-Command $python -CommandType Application -ErrorAction SilentlyContinue)) {
            continue
        }
        $recent = Invoke-Quietly $python @('-c', 'import sys; sys.exit(sys.version_info < (3, 8))')
        if ($recent.Status -ne 0) { continue }
        $pip = $python
        if ((Invoke-Quietly $python @('-m', 'pip', '--version')).Status -ne 0) {
            $null = Invoke-Quietly $python @('-m', 'venv', '.venv\pip')
            $pip = '.venv\pip\Scripts\python.exe'
        }
        $null = Invoke-Quietly $pip @('-B', '-m', 'pip', 'install', '--quiet',
            '--disable-pip-version-check', '--retries', '2', '--upgrade',
            '--only-binary', ':all:', '--target', '.venv\uv', 'uv')
        if (Test-Path -LiteralPath .venv\pip) {
            Remove-Item -LiteralPath .venv\pip -Recurse -Force
        }
        if (Find-Uv) { return $true }
    }
    return $false
}

function Get-Uv {
    if (Find-Uv) {
        Say "uv: found, $script:Uv"
        return
    }
    Say "uv: not found, running Astral's installer"
    if (Get-UvFromAstral) {
        Say "uv: installed, $script:Uv"
        return
    }
    Say "uv: Astral's installer cannot be had here, getting uv from the Python package index"
    if (Get-UvFromIndex) {
        Say "uv: installed, $script:Uv"
        return
    }
    Err ("there is no uv, and neither Astral's installer nor pip could get it. " +
        'Install uv (https://docs.astral.sh/uv) or Python 3.10 or later with pip, then run again.')
}

function Get-VenvPythonVersion {
    $result = Invoke-Quietly $script:VenvPython @(
        '-I', '-c', 'import platform; print(platform.python_version())')
    if ($result.Status -ne 0) { return $null }
    return $result.Output.Trim()
}

# Why .venv cannot be kept; nothing if it can.
function Get-VenvProblem {
    $madeFor = ''
    if (Test-Path -LiteralPath $script:Marker) {
        $madeFor = "$(Get-Content -LiteralPath $script:Marker -Encoding UTF8)".Trim()
    }
    if (-not (Test-Path -LiteralPath .venv\pyvenv.cfg)) { return 'it is not a virtual environment' }
    if ($madeFor -eq 'installing') { return 'an earlier install did not finish' }
    if (-not (Test-Path -LiteralPath $script:VenvPython)) { return 'its Python is gone' }
    $version = Get-VenvPythonVersion
    if ($null -eq $version) { return 'its Python does not start' }
    if ($madeFor -and $madeFor -ne (Join-Path $script:Root '.venv')) {
        return "it was moved or copied from $madeFor"
    }
    if (Test-TooOld $version) { return "its Python is $version, too old" }
}

function Test-TooOld([string] $Version) { return $Version -match '^(2\.|3\.\d(\.|$))' }

function Set-Marker([string] $Content) {
    Set-Content -LiteralPath $script:Marker -Value $Content -Encoding UTF8
}

# Leave a healthy .venv in place, marked as being worked on.
function Initialize-Venv {
    if (Test-Path -LiteralPath .venv) {
        $problem = Get-VenvProblem
        if (-not $problem) {
            Say "environment: .venv is kept, Python $(Get-VenvPythonVersion)"
            Set-Marker installing
            return
        }
        # a .venv that holds nothing but the uv just fetched is a new one
        $content = @(Get-ChildItem -LiteralPath .venv -Force | ForEach-Object { $_.Name })
        if ("$content" -ne 'uv') { Say "environment: .venv is rebuilt, since $problem" }
        try {
            if (Test-Path -LiteralPath .venv -PathType Leaf) {
                Remove-Item -LiteralPath .venv -Force
            } else {
                Get-ChildItem -LiteralPath .venv -Force | Where-Object { $_.Name -ne 'uv' } |
                    Remove-Item -Recurse -Force
            }
        } catch {
            [Console]::Error.WriteLine("$_")
            Err ('removing the old .venv failed: see above. ' +
                'Close the programs that use it, then run again.')
        }
    }
    $null = New-Item -ItemType Directory -Force .venv
    Set-Marker installing
    $pythons = $script:Pythons
    if (Test-Variable UV_PYTHON) { $pythons = $env:UV_PYTHON }
    $status = Invoke-Shown $script:Uv @(
        'venv', '--quiet', '--no-project', '--allow-existing', '--python', $pythons, '.venv')
    if ($status -ne 0) {
        Err ("making .venv failed: no Python $pythons was found or could be fetched. " +
            'Install one, then run again.')
    }
    $version = Get-VenvPythonVersion
    if (Test-TooOld $version) {
        Err ("this is Python $version, too old. Set UV_PYTHON to 3.10, 3.11, 3.12 " +
            'or 3.13, or unset it, then run again.')
    }
    if (Test-Path -LiteralPath .venv\uv) {
        # on PATH once .venv is active
        Get-ChildItem -LiteralPath (Split-Path $script:Uv) -Filter 'uv*.exe' |
            Copy-Item -Destination .venv\Scripts
    }
    Say "environment: .venv is made, Python $version"
}

# What makes uv install into .venv and nowhere else.
function Get-UvPipInstall {
    return @('pip', 'install', '--python', $script:VenvPython)
}

# Whether .venv satisfies requirements.txt, found out without the network.
function Test-Packages {
    $result = Invoke-Quietly $script:Uv ((Get-UvPipInstall) + @(
            '--dry-run', '--offline', '--requirement', 'requirements.txt'))
    return $result.Status -eq 0 -and $result.Output -match 'no changes'
}

# Let uv choose the torch build for this machine (CPU, or the CUDA version of its driver), unless
# the user has chosen, or the index that holds the builds is out of reach.
function Select-TorchBuild {
    if (Test-Variable UV_TORCH_BACKEND) {
        Say "torch build: $env:UV_TORCH_BACKEND, from UV_TORCH_BACKEND"
        return
    }
    $env:UV_TORCH_BACKEND = $null # set but empty is an error to uv
    $torch = (Select-String -LiteralPath requirements.txt -Pattern '^torch').Line
    $retries = $env:UV_HTTP_RETRIES
    if (-not $retries) { $env:UV_HTTP_RETRIES = '1' }
    $result = Invoke-Quietly $script:Uv ((Get-UvPipInstall) + @(
            '--dry-run', '--no-deps', '--torch-backend', 'auto', $torch))
    $env:UV_HTTP_RETRIES = $retries
    if ($result.Status -eq 0) {
        $env:UV_TORCH_BACKEND = 'auto'
        Say 'torch build: chosen by uv for this machine'
    } elseif ($result.Output -match 'pytorch\.org') {
        Say "torch build: the PyTorch index cannot be reached, taking the default index's"
    } else {
        [Console]::Error.WriteLine($result.Output)
        Err ('choosing the torch build failed. Check the network or proxy (HTTPS_PROXY), ' +
            'then run again.')
    }
}

function Install-Packages {
    if (Test-Packages) {
        Say 'packages: all there'
        return
    }
    Select-TorchBuild
    Say 'packages: installing requirements.txt'
    $status = Invoke-Shown $script:Uv ((Get-UvPipInstall) + @('--requirement', 'requirements.txt'))
    if ($status -ne 0) {
        Err ('installing the packages failed. Check the network or proxy (HTTPS_PROXY) ' +
            'and the free disk space, then run again.')
    }
}

function Test-Imports {
    $code = @'
import platform

import jupyter
import matplotlib.pyplot
import numpy
import pytest
import torch

devices = ["cpu"]
if torch.cuda.is_available():
    devices.append(f"cuda ({torch.cuda.get_device_name()})")
if torch.backends.mps.is_available():
    devices.append("mps")
print(f"check: Python {platform.python_version()}, torch {torch.__version__},", end=" ")
print("devices:", ", ".join(devices))
'@
    $ErrorActionPreference = 'Continue'
    $code | & $script:VenvPython '-I' '-' | Out-Host
    if ($LASTEXITCODE -ne 0) {
        Err 'the packages do not import in .venv. Run again to rebuild it.'
    }
    Set-Marker (Join-Path $script:Root '.venv')
}

function Show-NextSteps {
    Say 'Done. Next:'
    if ($script:Root -ne $script:StartedIn) { Say "    cd `"$script:Root`"" }
    Say '    .venv\Scripts\Activate.ps1'
    Say '    python script\gd_1d_torch.py'
    Say '    pytest'
}

# However the run ends: without a Python in it, .venv is not worth keeping if we began it.
function Clear-Unfinished {
    if (-not $script:HadVenv -and -not (Test-Path -LiteralPath .venv\pyvenv.cfg) -and
        (Test-Path -LiteralPath .venv)) {
        Remove-Item -LiteralPath .venv -Recurse -Force
    }
}

function Main {
    $script:Uv = ''
    $script:StartedIn = (Get-Location).ProviderPath
    Push-Location -LiteralPath $script:Root
    $script:HadVenv = Test-Path -LiteralPath .venv
    try {
        Test-Platform
        Exit-ActiveEnvironment
        Copy-PipSettingsToUv
        Get-Uv
        Initialize-Venv
        Install-Packages
        Test-Imports
        Show-NextSteps
    } finally {
        Clear-Unfinished
        Pop-Location
    }
}

Main
