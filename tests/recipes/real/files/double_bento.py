import bentoml


@bentoml.service(workers=1)
class Double:
    @bentoml.api
    def double(self, x: int) -> int:
        return 2 * x
