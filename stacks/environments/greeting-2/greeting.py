def greet(*, name, loud=False):
    return f"Hello {name}" + "!" * loud
