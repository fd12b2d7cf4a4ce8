"""The operations of a build in JSON, as provenance has them (BuildKit `solver/pb`, `ops.proto` and `json.go`).

The fields are in the order of the structs in Go, which is the order in which BuildKit writes them before it hashes
them. Like Go's `omitempty`, msgspec leaves out what has its default value. These objects hold values of the build,
secret ones too: they live only while a record is read.
"""

from __future__ import annotations

from msgspec import Struct, field


class Message(Struct, omit_defaults=True, rename="camel", gc=False):
    """A message of the protocol. Fields that a newer BuildKit adds are ignored."""


class Platform(Message, rename="pascal"):
    """The platform that an operation runs on (`pb.Platform`)."""

    architecture: str = ""
    os: str = field(default="", name="OS")
    variant: str = ""
    os_version: str = field(default="", name="OSVersion")
    os_features: list[str] = field(default_factory=list, name="OSFeatures")


class HostIP(Message, rename="pascal"):
    """A line of `/etc/hosts`."""

    host: str = ""
    ip: str = field(default="", name="IP")


class Ulimit(Message, rename="pascal"):
    """A limit of the process."""

    name: str = ""
    soft: int = 0
    hard: int = 0


class Meta(Message):
    """What a command runs with (`pb.Meta`), but for the proxies of the daemon, which are not hashed."""

    args: list[str] = []
    env: list[str] = []
    cwd: str = ""
    user: str = ""
    extra_hosts: list[HostIP] = []
    hostname: str = ""
    ulimit: list[Ulimit] = []
    cgroup_parent: str = ""
    remove_mount_stubs_recursive: bool = False
    valid_exit_codes: list[int] = []


class TmpfsOpt(Message):
    """Options of a mount in memory."""

    size: int = 0


class CacheOpt(Message):
    """Options of a cache mount."""

    id: str = field(default="", name="ID")
    sharing: int = 0


class SecretOpt(Message):
    """Options of a secret that is mounted, or of an SSH agent."""

    id: str = field(default="", name="ID")
    uid: int = 0
    gid: int = 0
    mode: int = 0
    optional: bool = False


class Mount(Message):
    """A mount of a command (`pb.Mount`)."""

    input: int = 0
    selector: str = ""
    dest: str = ""
    output: int = 0
    readonly: bool = False
    mount_type: int = 0
    tmpfs_opt: TmpfsOpt | None = field(default=None, name="TmpfsOpt")
    cache_opt: CacheOpt | None = None
    secret_opt: SecretOpt | None = None
    ssh_opt: SecretOpt | None = field(default=None, name="SSHOpt")
    result_id: str = field(default="", name="resultID")
    content_cache: int = 0


class SecretEnv(Message):
    """A secret in an environment variable, by its id."""

    id: str = field(default="", name="ID")
    name: str = ""
    optional: bool = False


class CDIDevice(Message):
    """A device that is given to a command."""

    name: str = ""
    optional: bool = False


class Exec(Message, rename=None):
    """A command (`pb.ExecOp`)."""

    meta: Meta | None = None
    mounts: list[Mount] = []
    network: int = 0
    security: int = 0
    secretenv: list[SecretEnv] = []
    cdi_devices: list[CDIDevice] = field(default_factory=list, name="cdiDevices")


class NamedUser(Message):
    """A user or group that is looked up in an input."""

    name: str = ""
    input: int = 0


class User(Message):
    """A user or group, by name or number (`pb.UserOpt`)."""

    by_name: NamedUser | None = None
    by_id: int = field(default=0, name="byId")


class UserOpt(Message, rename="pascal"):
    """The same, as it is nested."""

    user: User = field(default_factory=User)


class Owner(Message):
    """Who files belong to (`pb.ChownOpt`)."""

    user: UserOpt | None = None
    group: UserOpt | None = None


class Copy(Message):
    """Files that are copied (`pb.FileActionCopy`)."""

    src: str = ""
    dest: str = ""
    owner: Owner | None = None
    mode: int = 0
    follow_symlink: bool = False
    dir_copy_contents: bool = False
    attempt_unpack_docker_compatibility: bool = False
    create_dest_path: bool = False
    allow_wildcard: bool = False
    allow_empty_wildcard: bool = False
    timestamp: int = 0
    include_patterns: list[str] = field(default_factory=list, name="include_patterns")
    exclude_patterns: list[str] = field(default_factory=list, name="exclude_patterns")
    always_replace_existing_dest_paths: bool = False
    mode_str: str = ""
    required_paths: list[str] = field(default_factory=list, name="required_paths")


class MakeFile(Message):
    """A file with content (`pb.FileActionMkFile`)."""

    path: str = ""
    mode: int = 0
    data: str = ""
    owner: Owner | None = None
    timestamp: int = 0


class MakeFolder(Message):
    """A new folder (`pb.FileActionMkDir`)."""

    path: str = ""
    mode: int = 0
    make_parents: bool = False
    owner: Owner | None = None
    timestamp: int = 0


class Remove(Message):
    """Files that are removed (`pb.FileActionRm`)."""

    path: str = ""
    allow_not_found: bool = False
    allow_wildcard: bool = False


class AnyAction(Message):
    """One of the kinds of actions; none of them for a symbolic link, which provenance loses."""

    copy: Copy | None = None
    mkfile: MakeFile | None = None
    mkdir: MakeFolder | None = None
    rm: Remove | None = None

    @property
    def known(self) -> Copy | MakeFile | MakeFolder | Remove | None:
        """The action that it is."""
        return self.copy or self.mkfile or self.mkdir or self.rm


class Action(Message):
    """What is done to files, and to those of which input (`pb.FileAction`)."""

    input: int = 0
    secondary_input: int = 0
    output: int = 0
    action: AnyAction = field(default_factory=AnyAction, name="Action")


class File(Message):
    """Actions on files, one after the other (`pb.FileOp`)."""

    actions: list[Action] = []


class Source(Message):
    """Where a build starts from (`pb.SourceOp`)."""

    identifier: str = ""
    attrs: dict[str, str] = {}


class InputOf(Message):
    """The number of an input."""

    input: int = 0


class Merge(Message):
    """Inputs above each other (`pb.MergeOp`)."""

    inputs: list[InputOf] = []


class Diff(Message):
    """What one input has more than another (`pb.DiffOp`)."""

    lower: InputOf | None = None
    upper: InputOf | None = None


class Build(Message):
    """A build inside a build, which no Dockerfile makes (`pb.BuildOp`)."""


class Passthrough(Message):
    """Inputs handed on as they are (`pb.PassthroughOp`, v0.31 and later)."""

    id: str = ""
    outputs: list[int] = []


Known = Exec | Source | File | Build | Merge | Diff | Passthrough


class AnyOp(Message):
    """One of the kinds of operations; none of them for the result of a build."""

    exec: Exec | None = None
    source: Source | None = None
    file: File | None = None
    build: Build | None = None
    merge: Merge | None = None
    diff: Diff | None = None
    passthrough: Passthrough | None = None


class Op(Message):
    """An operation, and what it runs on (`pb.Op`)."""

    op: AnyOp = field(default_factory=AnyOp, name="Op")
    platform: Platform | None = None

    @property
    def kind(self) -> str:
        """Such as `exec`; empty if it is none that is known."""
        return next((kind for kind in AnyOp.__struct_fields__ if getattr(self.op, kind) is not None), "")

    @property
    def known(self) -> Known | None:
        """The operation itself."""
        return getattr(self.op, self.kind) if self.kind else None
