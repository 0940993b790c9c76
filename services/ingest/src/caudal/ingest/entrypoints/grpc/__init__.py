"""The door for devices and providers that speak gRPC; `readings_pb2` is made from proto/ by `make docs`."""
