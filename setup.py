from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["idp", "idp.*"]), "idp.templates", "idp.static"])
