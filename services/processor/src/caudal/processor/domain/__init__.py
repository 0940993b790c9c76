"""The rules, pure: the same readings and configuration give the same series, in whatever order they came."""
